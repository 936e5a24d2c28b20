"""Answering the API server: reviews in, decisions out, never longer than the budget allows.

`routes` is the HTTP of one review, `service` its flow. `reviews` reads the wire format, `answers` writes it and
words warnings and refusals. `bodies` bounds the memory, `namespaces` reads live namespaces at a bounded rate.

What a review claims is untrusted, because any pod that reaches the port can send one. Only the live namespace
gives authority.
"""
