from ben import Client, client  # the module name that BenCommunication's programs import
