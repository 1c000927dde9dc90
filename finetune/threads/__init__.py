"""Who answers whom in a group chat, and the conversations that follow.

Knows nothing of where messages come from or what is trained on them.
"""
