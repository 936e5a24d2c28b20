"""The trust engine: one entrance, `Grants.obtain`, to IAM trust policies and Pod Identity associations.

`grants` is the entrance; `pursuit` follows one subject through the roles of its binding;
`build` puts the engine together.
"""
