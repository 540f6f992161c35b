"""Small weights that this project trained itself, with their cards; installed as edgedistill.builtin."""
