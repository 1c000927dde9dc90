"""One run of the flywheel: from chats to a promoted model, step by step, and what is kept of it."""
