"""Judge the Microsoft Graph permissions of applications by their requests, and propose smaller sets of them."""
