"""What `weft train` reads: a file for each modality, registered in `weft.recipes.modality.MODALITIES`."""
