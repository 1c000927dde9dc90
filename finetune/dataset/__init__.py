"""From conversations to what a model is trained on: rules about what may be learnt, and examples."""
