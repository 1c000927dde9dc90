"""Chats in, a dataset out; and from that, a better checkpoint, which is to come.

Read `finetune.pipeline` for what is done to chats, in order.
"""
