using Microsoft.Playwright;
using WebVm.Benchmarks.Service;

namespace WebVm.Benchmarks.Console;

/// <summary>The console page of a real service, with a guest on the soft engine.</summary>
internal sealed class WebVmSide : IConsoleSide
{
    private readonly BenchService _service;
    private readonly string _vm;
    private readonly int _monitor;
    private readonly Stream _serial;

    private WebVmSide(BenchService service, string vm, Stream serial, GuestShell shell)
    {
        (_service, _vm, _serial, Shell) = (service, vm, serial, shell);
        _monitor = service.Monitors().Single();
    }

    public string Name => "WebVm";

    public GuestShell Shell { get; }

    public static async Task<WebVmSide> StartAsync()
    {
        var service = await BenchService.StartAsync();
        try
        {
            string vm = await service.CreateAsync(new
            {
                name = "console", engine = "soft", memory = ConsoleGuest.Memory,
                boot = new { image = "tiny", commandLine = ConsoleGuest.CommandLine },
                display = new { enabled = true, width = ConsoleGuest.Width, height = ConsoleGuest.Height },
            });
            await service.PowerAsync(vm, "on");
            string serial = $"/api/v1/vms/{vm}/serial";
            var output = await service.Client.GetStreamAsync($"{serial}?follow=true");
            var shell = new GuestShell(
                output, async text => (await service.Client.PostAsync(serial, new StringContent(text))).EnsureSuccessStatusCode()
                    .Dispose());
            await shell.ReadyAsync();
            return new WebVmSide(service, vm, output, shell);
        }
        catch
        {
            await service.DisposeAsync();
            throw;
        }
    }

    public async Task ShowAsync(IPage page)
    {
        await page.GotoAsync(_service.SignInLink);
        await page.GotoAsync(new Uri(_service.Address, $"/vms/{_vm}/console").ToString());
        await page.Locator("[data-link=connected]").WaitForAsync();
        await page.Locator("[data-control=mine]").WaitForAsync();
        await page.Locator("#screen").FocusAsync();
    }

    public (double All, double Guest) CpuSeconds() =>
        (HostProcess.CpuSeconds(_service.ProcessId) + HostProcess.CpuSeconds(_monitor), HostProcess.CpuSeconds(_monitor, "vcpu"));

    public async ValueTask DisposeAsync()
    {
        await _serial.DisposeAsync();
        await _service.DisposeAsync();
    }
}
