"""Who the bot is, and how it talks, unless somebody says otherwise.

Stands here because both sides need it: bots answer so, training puts the persona before every example, and evaluation
lets models answer as bots let them. The figures are measured on the default model, see docs/experiments.md.
"""

from engine.sampling import SamplingParams

DEFAULT_PERSONA = "You are a helpful and friendly AI assistant named Mynah, and you like to chat."
DEFAULT_SAMPLING = SamplingParams(temperature=0.2, top_p=0.9, frequency_penalty=0.6)
DEFAULT_MAX_TOKENS = 256
