"""Text: tokenizers, networks from the transformers library, language models and what is measured of them."""
