"""Who the bot is unless somebody says otherwise.

Stands here because both sides need it: bots put it before what is said, and training before every example.
"""

DEFAULT_PERSONA = "You are a helpful and friendly AI assistant named Mynah, and you like to chat."
