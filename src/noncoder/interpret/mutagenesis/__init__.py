"""In-silico mutagenesis: what each substitution, deletion and insertion does to a model's logits.

`mutate` is the verb, `result` what it gives. `brute` sends every mutated sequence through the model; `incremental`
computes what changes alone: `trunk` describes a model's convolutions (`families`, one description a family), `windows`
evaluates them where a mutation reaches, and a head (`heads`, `cores`) makes logits of the changed features (`change`).
"""

from noncoder.interpret.mutagenesis.change import Change, Head
from noncoder.interpret.mutagenesis.mutate import Strategy, mutate
from noncoder.interpret.mutagenesis.result import Mutations

__all__ = ["Change", "Head", "Mutations", "Strategy", "mutate"]
