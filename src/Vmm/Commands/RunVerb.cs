using System.CommandLine;

namespace WebVm.Vmm.Commands;

/// <summary>webvm-vmm run: one machine until its end.</summary>
internal static class RunVerb
{
    public static Command Create()
    {
        var machine = new MachineOptions();
        var serial = new Option<string>(
            "--serial") { Description = "where the serial port ends", HelpName = "none|stdio|file:PATH|unix:PATH",
                DefaultValueFactory = _ => "stdio" };
        var control = new Option<string?>("--control") { Description = "serve a control socket there (see ctl)", HelpName = "PATH" };
        var screenshot = new Option<string?>(
            "--screenshot-on-exit") { Description = "write the last screen there as PNG", HelpName = "FILE.png" };
        var command = new Command(
            "run", "Run a virtual machine until it ends. Exit code: 0 powered off, 2 bad input, 4 host failed, 6 guest crashed, 128 "
                + "and the number of a signal that ended it; odd: the guest's own, by its debug-exit port.");
        var describe = new Option<bool>(
            "--describe") { Description = "print the machine as a spec, with every device, its place and its settings, and do not run it" };
        machine.AddTo(command);
        command.Options.Add(serial);
        command.Options.Add(control);
        command.Options.Add(screenshot);
        command.Options.Add(describe);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(describe))
            {
                Console.WriteLine(machine.Describe(parsed));
                return ExitCode.Success;
            }

            machine.LockIn(parsed);
            var session = new MachineSession
            {
                Serial = SerialTarget.Parse(parsed.GetValue(serial)!),
                ControlPath = parsed.GetValue(control),
                ScreenshotPath = parsed.GetValue(screenshot),
            };
            return session.Run(() => machine.Assemble(parsed));
        });
        return command;
    }
}
