using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace WebVm.Web.Components.Shared;

/// <summary>A line icon, 24 units square, in the colour of the text around it.</summary>
public sealed class Icon : ComponentBase
{
    private static readonly Dictionary<string, string> Drawings = new(StringComparer.Ordinal)
    {
        ["activity"] = "<path d='M3 12h4l3-8 4 16 3-8h4'/>",
        ["alert"] = "<path d='M12 3.500 21.500 20h-19z'/><path d='M12 10v4.500M12 17.200v.1'/>",
        ["arrow-left"] = "<path d='M20 12H5M11 6l-6 6 6 6'/>",
        ["camera"] = "<path d='M4 8h3.500L9 5.500h6L16.500 8H20a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 "
            + "1-1z'/><circle cx='12' cy='13' r='3.500'/>",
        ["chart"] = "<path d='M4 4v16h16'/><path d='M8 15l3.500-4 3 2.500L20 7'/>",
        ["check"] = "<circle cx='12' cy='12' r='9'/><path d='m8 12.300 2.700 2.700L16 9.500'/>",
        ["chevron"] = "<path d='m7 10 5 5 5-5'/>",
        ["clipboard"] = "<rect x='5' y='5' width='14' height='16' rx='2'/><path d='M9 5V3.500h6V5M9 11h6M9 15h4'/>",
        ["close"] = "<path d='m6 6 12 12M18 6 6 18'/>",
        ["code"] = "<path d='m8 7-5 5 5 5M16 7l5 5-5 5M13.500 5l-3 14'/>",
        ["copy"] = "<rect x='9' y='9' width='11' height='11' rx='2'/><path d='M15 9V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v7a2 2 0 0 0 2 2h3'/>",
        ["cpu"] = "<rect x='6' y='6' width='12' height='12' rx='2'/><rect x='10' y='10' width='4' height='4' rx='.5'/><path d='M9 "
            + "2.500V6M15 2.500V6M9 18v3.500M15 18v3.500M2.500 9H6M2.500 15H6M18 9h3.500M18 15h3.500'/>",
        ["disc"] = "<circle cx='12' cy='12' r='9'/><circle cx='12' cy='12' r='2.500'/><path d='M12 6a6 6 0 0 1 6 6'/>",
        ["download"] = "<path d='M12 4v11M7 10.500l5 5 5-5M4 20h16'/>",
        ["edit"] = "<path d='M4 20h4L19.500 8.500l-4-4L4 16z'/><path d='m13 7 4 4'/>",
        ["exit"] = "<path d='M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h11M17.500 8.500 21 12l-3.500 3.500'/>",
        ["expand"] = "<path d='M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5'/>",
        ["eye"] = "<path d='M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12z'/><circle cx='12' "
            + "cy='12' r='3'/>",
        ["gauge"] = "<path d='M4.500 18a9 9 0 1 1 15 0'/><path d='m12 14 4-5'/><circle cx='12' cy='14' r='1'/>",
        ["grid"] = "<rect x='4' y='4' width='6.500' height='6.500' rx='1.500'/><rect x='13.500' y='4' width='6.500' height='6.500' "
            + "rx='1.500'/><rect x='4' y='13.500' width='6.500' height='6.500' rx='1.500'/><rect x='13.500' y='13.500' width='6.500' "
            + "height='6.500' rx='1.500'/>",
        ["hand"] = "<path d='M8 13V6.500a1.500 1.500 0 0 1 3 0V11M11 6V4.500a1.500 1.500 0 0 1 3 0V11M14 6.500a1.500 1.500 0 0 1 3 "
            + "0V13a7 7 0 0 1-13 3.500L2.800 14a1.500 1.500 0 0 1 2.500-1.500L8 15'/>",
        ["info"] = "<circle cx='12' cy='12' r='9'/><path d='M12 11v5.500M12 7.800v.1'/>",
        ["key"] = "<circle cx='8' cy='15' r='4.500'/><path d='m11.500 11.500 8-8M16 7l3 3'/>",
        ["keyboard"] = "<rect x='2.500' y='6' width='19' height='12' rx='2'/><path d='M6.500 10h.1M10 10h.1M13.500 10h.1M17.500 "
            + "10h.1M8 14h8'/>",
        ["layers"] = "<path d='m12 3 9 5-9 5-9-5z'/><path d='m3.500 12.500 8.500 4.700 8.500-4.700M3.500 16.800 12 21.500l8.500-4.700'/>",
        ["list"] = "<path d='M9 6h11M9 12h11M9 18h11M4.500 6h.1M4.500 12h.1M4.500 18h.1'/>",
        ["lock"] = "<rect x='5' y='11' width='14' height='9.500' rx='2'/><path d='M8 11V8a4 4 0 0 1 8 0v3'/>",
        ["machines"] = "<rect x='3' y='4' width='18' height='12.500' rx='2'/><path d='M8.500 20.500h7M12 16.500v4'/>",
        ["memory"] = "<rect x='3' y='7' width='18' height='10' rx='1.500'/><path d='M7 10.500v3M11 10.500v3M15 10.500v3M6 17v2.500M10 "
            + "17v2.500M14 17v2.500M18 17v2.500'/>",
        ["menu"] = "<path d='M4 7h16M4 12h16M4 17h16'/>",
        ["moon"] = "<path d='M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z'/>",
        ["more"] = "<path d='M5 12h.1M12 12h.1M19 12h.1' stroke-width='2.800'/>",
        ["pause"] = "<path d='M8.500 5v14M15.500 5v14' stroke-width='2.400'/>",
        ["play"] = "<path d='M7 4.500v15l12-7.500z'/>",
        ["plus"] = "<path d='M12 5v14M5 12h14'/>",
        ["power"] = "<path d='M12 3v9'/><path d='M7 6.300a8 8 0 1 0 10 0'/>",
        ["reset"] = "<path d='M4.500 12a7.500 7.500 0 1 0 2.500-5.600'/><path d='M4.500 3.500v4h4'/>",
        ["save"] = "<path d='M5 4h11l4 4v12H4V5a1 1 0 0 1 1-1z'/><path d='M8 4v5h7V4M8 20v-6h8v6'/>",
        ["scale"] = "<rect x='3.500' y='5' width='17' height='14' rx='2'/><path d='M9 9v6M15 9v6M12 10.500v.1M12 13.500v.1'/>",
        ["search"] = "<circle cx='10.500' cy='10.500' r='6.500'/><path d='m15.500 15.500 5 5'/>",
        ["server"] = "<rect x='3.500' y='4' width='17' height='7' rx='2'/><rect x='3.500' y='13' width='17' height='7' rx='2'/><path "
            + "d='M7.500 7.500h.1M7.500 16.500h.1M11 7.500h6M11 16.500h6'/>",
        ["settings"] = "<path d='M4 7h9M17 7h3M4 17h3M11 17h9'/><circle cx='15' cy='7' r='2.200'/><circle cx='9' cy='17' r='2.200'/>",
        ["stop"] = "<rect x='6' y='6' width='12' height='12' rx='2'/>",
        ["sun"] = "<circle cx='12' cy='12' r='4'/><path d='M12 2.500v2.500M12 19v2.500M2.500 12H5M19 12h2.500M5.300 5.300 7 7M17 "
            + "17l1.700 1.700M18.700 5.300 17 7M7 17l-1.700 1.700'/>",
        ["tag"] = "<path d='M3.500 12V4.500a1 1 0 0 1 1-1H12l8.500 8.500-8.500 8.500z'/><path d='M8 8h.1'/>",
        ["terminal"] = "<rect x='3' y='4' width='18' height='16' rx='2'/><path d='m7 9 3 3-3 3M12.500 15H17'/>",
        ["trash"] = "<path d='M4 7h16M9.500 7V4h5v3M6.500 7l1 13h9l1-13M10 11v5.500M14 11v5.500'/>",
        ["upload"] = "<path d='M12 16V5M7 9.500l5-5 5 5M4 20h16'/>",
        ["users"] = "<circle cx='9' cy='8' r='3.500'/><path d='M2.500 20a6.500 6.500 0 0 1 13 0M16 4.800a3.500 3.500 0 0 1 0 6.400M18 "
            + "14.500a6.500 6.500 0 0 1 3.500 5.500'/>",
    };

    [Parameter, EditorRequired]
    public string Name { get; set; } = "";

    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        builder.OpenElement(0, "svg");
        builder.AddAttribute(1, "class", "icon");
        builder.AddAttribute(2, "viewBox", "0 0 24 24");
        builder.AddAttribute(3, "aria-hidden", "true");
        builder.AddMarkupContent(4, Drawings[Name]);
        builder.CloseElement();
    }
}
