"""The plane of Microsoft Graph: which permissions applications hold, which requests they made, what explains them."""
