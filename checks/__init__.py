"""What is looked at besides the tests before a change lands."""
