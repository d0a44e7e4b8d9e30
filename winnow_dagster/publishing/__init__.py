"""The web directory: who owns it, how Winnow replaces its files, and how it audits and prunes them."""
