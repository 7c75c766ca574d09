"""Questions about all of the merchant's data at once: is it right, what is out of stock; each answer cached for a while."""
