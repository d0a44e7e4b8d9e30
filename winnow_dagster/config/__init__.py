"""What winnow.yaml may say, as settings."""
