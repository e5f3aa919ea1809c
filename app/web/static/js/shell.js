// What every page needs. A page's own behaviour is loaded by its `head` block.
import "./theme.js";
import "./keys.js";
import "./pending.js";
import "./dialog.js";
import "./job.js";
import "./copy.js";
import "./clock.js";
import "./times.js";
import "./forms.js";
import "./toast.js";
import "./dropping.js";
import "./absent.js";
