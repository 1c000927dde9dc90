"""When runs are due, and the process that sees to them."""
