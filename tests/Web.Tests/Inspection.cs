using System.Globalization;
using Microsoft.Playwright;

namespace WebVm.Web.Tests;

/// <summary>Looks at all that a page shows, as somebody does who cannot see or point well.</summary>
internal static class Inspection
{
    // A control's name as WAI-ARIA computes it for what these pages use; contrast as WCAG 2.2, 1.4.3 defines it.
    private const string Faults =
        """
        () => {
          const faults = [];
          const shown = element => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && element.getClientRects().length > 0;
          const describe = element => element.outerHTML.slice(0, 120).replaceAll('\n', ' ');
          for (const control of document.querySelectorAll('a[href], button, input, select, textarea, summary, [role=button], [role=menuitem], [tabindex="0"]')) {
            if (!shown(control) || control.closest('[aria-hidden=true]')) continue;
            const labelled = (control.getAttribute('aria-labelledby') ?? '').split(' ').map(id => document.getElementById(id)?.textContent ?? '').join('');
            const name = control.getAttribute('aria-label') ?? (labelled || [...control.labels ?? []].map(label => label.textContent).join('') || (control.matches('input, select, textarea') ? '' : control.textContent) || control.title);
            if (!name.trim()) faults.push(`no name: ${describe(control)}`);
          }

          const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
          const over = (colour, below) => {
            context.fillStyle = `rgb(${below.join(' ')})`;
            context.fillRect(0, 0, 1, 1);
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
          };
          const luminance = colour => colour.map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const element = walk.currentNode.parentElement;
            if (!walk.currentNode.textContent.trim() || !shown(element) || element.closest(':disabled, fieldset:disabled, .sr-only, .xterm, svg, script, option')) continue;
            const ancestors = [];
            for (let at = element; at; at = at.parentElement) ancestors.unshift(getComputedStyle(at));
            if (ancestors.some(style => style.backgroundImage.includes('gradient') && !element.matches('select'))) continue;
            const below = ancestors.reduce((colour, style) => over(style.backgroundColor, colour), [255, 255, 255]);
            const style = ancestors.at(-1);
            const [light, dark] = [luminance(over(style.color, below)), luminance(below)].sort((a, b) => b - a);
            const ratio = (light + 0.05) / (dark + 0.05);
            const size = parseFloat(style.fontSize);
            const least = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700 ? 3 : 4.5;
            if (ratio < least) faults.push(`contrast ${ratio.toFixed(2)}: ${describe(element)}`);
          }
          return [...new Set(faults)];
        }
        """;

    // Contrast is looked at above, where colours lie over each other.
    private const string Violations =
        """
        async () => {
          const found = await axe.run(document, { resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } });
          return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 160)}`));
        }
        """;

    private const string WatchShifts =
        """
        window.shifted = 0;
        window.shifts = [];
        new PerformanceObserver(list => {
          // A terminal's lines move when it is measured and when it scrolls; that is what it is for.
          const inTerminal = ({ node }) => (node?.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.('.xterm');
          for (const entry of list.getEntries().filter(entry => !entry.hadRecentInput && !(entry.sources.length > 0 && entry.sources.every(inTerminal)))) {
            window.shifted += entry.value;
            const place = ({ x, y, width, height }) => `${x},${y} ${width}×${height}`;
            window.shifts.push(...entry.sources.map(source => `${place(source.previousRect)} → ${place(source.currentRect)}: ${(source.node?.outerHTML ?? source.node?.textContent ?? '').slice(0, 120)}`));
          }
        }).observe({ type: 'layout-shift', buffered: true });
        """;

    // Cumulative layout shift: what moved, as a share of the window, times how far. Below a tenth is called good.
    private const double LargestShift = 0.002;

    private static readonly string s_axe = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "axe.min.js"));

    /// <summary>Lets every page that is opened in the window notice what moves by itself.</summary>
    public static Task WatchShiftsAsync(Window window) => window.Page.AddInitScriptAsync(WatchShifts);

    /// <summary>What moved although nobody had touched it, if that was more than can be seen.</summary>
    public static async Task<IReadOnlyList<string>> ShiftsAsync(Window window) =>
        await window.Page.EvaluateAsync<double>("() => shifted") is > LargestShift and var shifted
            ? [.. (await window.Page.EvaluateAsync<string[]>("() => shifts")).Prepend(
                string.Create(CultureInfo.InvariantCulture, $"layout shift {shifted:f4}"))]
            : [];

    /// <summary>
    /// Where an element's parts are (selectors; an empty one is the element), all at one instant: what is measured one after the other may
    /// have moved between.
    /// </summary>
    public static async Task<Box[]> BoxesAsync(ILocator element, params string[] parts)
    {
        double[][] sides = await element.EvaluateAsync<double[][]>(
            """
            (element, parts) => parts.map(part => {
              const { left, top, right, bottom } = (part ? element.querySelector(part) : element).getBoundingClientRect();
              return [left, top, right, bottom];
            })
            """, parts);
        return [.. sides.Select(side => new Box(side[0], side[1], side[2], side[3]))];
    }

    /// <summary>Where the page breaks a rule of accessibility (axe-core's).</summary>
    public static async Task<IReadOnlyList<string>> ViolationsAsync(Window window)
    {
        await window.Page.EvaluateAsync(s_axe);
        return await window.Page.EvaluateAsync<string[]>(Violations);
    }

    /// <summary>How many pixels the page is wider than its window.</summary>
    public static Task<int> BeyondAsync(Window window) =>
        window.Page.EvaluateAsync<int>("() => Math.max(0, document.documentElement.scrollWidth - innerWidth)");

    /// <summary>Controls without a name, text that is hard to read, and a page that is wider than its window.</summary>
    public static async Task<IReadOnlyList<string>> FaultsAsync(Window window)
    {
        string[] faults = await window.Page.EvaluateAsync<string[]>(Faults);
        int beyond = await BeyondAsync(window);
        return beyond == 0 ? faults : [.. faults, $"{beyond} pixels wider than the window"];
    }

    /// <summary>The four sides of what an element covers (CSS pixels).</summary>
    internal sealed record Box(double Left, double Top, double Right, double Bottom)
    {
        public double Middle => (Top + Bottom) / 2;
    }
}
