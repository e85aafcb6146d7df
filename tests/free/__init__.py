"""Random specs of a second kind: drawn from what the language allows, and held to what the compiler promises.

A draw begins with something that is right by construction (`scopes`), then changes it again and again wherever the
language lets it be changed (`edits`); what `cnnc check` refuses is taken back, but for a last change now and then. So
nothing here knows what fits: the ops' own classes say which values there are, and the compiler says which are right.
"""
