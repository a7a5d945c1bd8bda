from benserver import generate_new_secret
generate_new_secret("key.sec")
