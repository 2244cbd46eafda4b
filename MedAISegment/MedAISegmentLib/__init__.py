"""What the three MedAI panels share; prefixed because installation puts every module into one folder."""
