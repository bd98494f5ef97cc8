"""In-silico mutagenesis: the effect of each substitution, deletion and insertion on a model's logits.

`mutate` computes a `result`. `brute` runs the model on every mutated sequence. `incremental` computes only what
changes: `trunk` describes a model's convolutions (one description per family in `families`), `windows` evaluates them
where a mutation reaches, and a head (`heads`, `cores`) turns the changed features (`change`) into logits.
"""

from noncoder.interpret.mutagenesis.change import Change, Head
from noncoder.interpret.mutagenesis.mutate import Strategy, mutate
from noncoder.interpret.mutagenesis.result import Mutations

__all__ = ["Change", "Head", "Mutations", "Strategy", "mutate"]
