"""The models: shapes with parameters, texts, functions of the user, and ties between parameters."""
