"""The trust engine: one entrance, `Grants.obtain`, to IAM trust policies and Pod Identity associations.

`desired_state` says which role each subject belongs to, `grants` obtains it and says how that ended.
"""
