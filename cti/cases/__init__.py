"""Cases of every channel, and the promises in them. Read in this order:

`contact` how a person is reached, `acts` what is done with a case, `case` how it stands, `model` in which order,
`callbacks` calls to the customer, `seeing` whose it is to see (all pure); `form` an act as it is kept, `sealing` what
nobody reads without the key, `tables`, `book` the store; `desk` what people do with it, `calling` how they call
customers; `adopting` how the night's calls become cases, `ticketing` how other calls become tickets; `words` and
`searching` how a word is found, `progress` how all of them stand, `proof` what `verify` compares.
"""
