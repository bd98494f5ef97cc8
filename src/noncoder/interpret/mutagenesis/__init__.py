"""In-silico mutagenesis: what each substitution, deletion and insertion does to a model's logits."""
