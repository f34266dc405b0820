"""What is looked at besides the tests before a change lands: what we depend on, what is written down, what the site says."""
