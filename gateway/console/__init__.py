"""Pages at /console for those who run the gateway: HTML made here, a little JavaScript, no build step.

`create_console` (gateway.console.site) makes the application; it is put below /console, at the listener of
the FHIR side or at one of its own. What it shows comes through values that gateway.wiring.console makes.

To add a page:

1. A module with a class that takes what it shows and has `table()`, routes of aiohttp whose paths are those
   below /console (`/explore`); its handlers return `page(request, "explore.html", name=value, ...)`.
2. A template in `templates/` that extends `base.html` and fills its blocks: `title` (the words before the
   name of the console), `content` (inside of `<main>`, beginning with an `<h1>`), and `scripts` (`<script
   src>` of a file in `static/`, by `static("explore.js")`, with `defer`). Values are escaped; `|safe` is not
   used. The style sheet has what pages are made of: see `templates/overview.html`.
3. A `NavItem` in `NAVIGATION` of gateway.console.rendering.
4. The class among the `pages` that gateway.wiring.console gives to `create_console`.

What holds for every page, without doing anything for it:

- `viewer_of(request)` is who looks. Pages see nothing of patients but what the token of the viewer grants:
  put `with looking(request):` around what reads it, which gives the rest of the gateway the viewer's access,
  and catch nothing: `NotGranted`, `OtherPatient` and errors of peers become an error page. `raise
  PageError(status, title, text)` shows one.
- Forms that change or start something are sent by POST with `{{ form_token() }}` inside; others are refused.
- Scripts and styles come from `static/` alone: no attribute `style`, no `onclick`, no inline script. Widths
  in pictures are attributes of SVG.
- No identifier of a patient or document belongs into a URL: what is looked for is sent by POST.
- Paths below /console/explore are recorded in the audit trail, as they show what documents hold; others are
  not.
- What `data-refresh` names is fetched again every so many seconds and put in the place of the element.
"""
