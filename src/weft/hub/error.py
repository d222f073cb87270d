"""What loading raises."""


class LoadError(ValueError):
    """A folder that is not a model weft can vouch for; names the file, what is wrong with it and the way out."""
