"""People compare two models, blind: a page on this machine, and what becomes of their votes."""
