"""Judge federated credentials by the sign-ins that name them, and propose to remove or narrow them."""
