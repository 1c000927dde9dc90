"""The steps by which the chat log's tables came to be as they are; `bots.chatlog.migration` runs them.

One module per step in `versions`, written by hand and never changed once released. A new one is named after the
one before (`0002_what_it_does.py`, `down_revision = "0001"`), and makes of the old tables what
`bots.chatlog.schema` says from then on. None leads back: that is what backups are for.
"""
