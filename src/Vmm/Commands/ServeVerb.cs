using System.CommandLine;
using WebVm.Vmm.Host;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Commands;

/// <summary>webvm-vmm serve: one machine, led over its control socket.</summary>
internal static class ServeVerb
{
    public static Command Create()
    {
        var machine = new MachineOptions();
        var control = new Option<string?>("--control") { Description = "the control socket", HelpName = "PATH" };
        var command = new Command(
            "serve", "Run a virtual machine under the lead of a control socket, without a terminal. Exit codes as of run.");
        machine.AddTo(command);
        command.Options.Add(control);
        command.SetAction(parsed =>
        {
            machine.LockIn(parsed);
            if (parsed.GetValue(control) is null && !HandedFiles.OfProcess.Has(HandedFiles.ControlName))
            {
                throw new InvalidSpecException("--control", "is needed: nobody could lead the machine");
            }

            var session = new MachineSession
            {
                Serial = SerialTarget.Parse("none"),
                ControlPath = parsed.GetValue(control),
            };
            return session.Run(() => machine.Assemble(parsed));
        });
        return command;
    }
}
