"""What the project needs around it: interpreters, programs and Python packages, each fetched once into a cache."""
