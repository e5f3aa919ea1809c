import { toast } from "./toast.js";

document.querySelector("[data-pattern-toast]").addEventListener("click", () => {
  toast("Rejected Brown shoes: blurred", { label: "Undo", key: "z", run: () => {} });
});
