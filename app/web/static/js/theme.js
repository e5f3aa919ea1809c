// Light, dark, or as the system says. Kept in a cookie of this browser, so that the server sends the right page at once.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-value]");
  if (!button) return;
  const value = button.dataset.themeValue;
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  document.cookie = `packshot-theme=${value}; path=/; samesite=lax; max-age=${value ? 31536000 : 0}`;
  for (const choice of button.parentElement.querySelectorAll("[data-theme-value]")) {
    const isOn = choice === button;
    choice.classList.toggle("on", isOn);
    choice.setAttribute("aria-pressed", isOn);
  }
});
