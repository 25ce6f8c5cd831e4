using System.CommandLine;

namespace WebVm.Vmm.Commands;

/// <summary>The verbs of webvm-vmm.</summary>
internal static class CommandLine
{
    public static int Run(string[] arguments)
    {
        var root = new RootCommand("WebVm's virtual machine monitor.") { RunVerb.Create(), ServeVerb.Create(), CtlVerb.Create(), ProbeVerb.Create() };
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            return ExitCode.Fail(ExitCode.BadInput, [.. parsed.Errors.Select(error => error.Message)]);
        }

        return ExitCode.Guard(() => parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }));
    }
}
