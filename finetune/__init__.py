"""Chat logs in, a better checkpoint out: data, training, evaluation, schedule.

Empty so far: what stands here is the place that the dependency rule names, `finetune > exporters > engine`.
"""
