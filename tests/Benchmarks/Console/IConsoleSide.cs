using Microsoft.Playwright;

namespace WebVm.Benchmarks.Console;

/// <summary>A booted guest whose screen is shown in a browser, in one of the two ways that are compared.</summary>
internal interface IConsoleSide : IAsyncDisposable
{
    string Name { get; }

    GuestShell Shell { get; }

    /// <summary>Shows the screen in a new page, and gives it the keyboard.</summary>
    Task ShowAsync(IPage page);

    /// <summary>Seconds of processor time of everything on the host but the browser, and how many of them executed guest code.</summary>
    (double All, double Guest) CpuSeconds();
}
