"""Pages and examples -> the same with what their code prints, returns and draws, when the site is built."""
