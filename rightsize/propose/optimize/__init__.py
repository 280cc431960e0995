"""Cover sets of atoms with as few sets as possible, by reduction, search and integer programs, independent of Azure."""
