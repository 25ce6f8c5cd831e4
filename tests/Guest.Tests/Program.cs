using WebVm.Guest.Tests;
using Xunit.Runner.InProc.SystemConsole;

return args switch
{
    [WatchedStart.Role, .. var rest] => WatchedStart.Execute(rest),
    _ => await ConsoleRunner.Run(args),
};
