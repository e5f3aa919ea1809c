// The take-in page: its form at work.
import { attach } from "./take_in.js";

attach(document.querySelector("[data-intake]"));
