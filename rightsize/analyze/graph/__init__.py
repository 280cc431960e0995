"""Judge the Microsoft Graph permissions that applications hold by the requests that they made."""
