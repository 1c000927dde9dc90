"""The steps by which the chat log's tables came to be as they are; `bots.chatlog.migration` runs them.

One module per step in `versions`, never changed once released. Written by hand, as there is no Alembic
command line here: see CONTRIBUTING.md.
"""
