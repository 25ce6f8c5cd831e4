using WebVm.Api.Console.Keyboard;
using WebVm.Vmm.Devices.Input;
using Xunit;
using WebVm.Vmm.Keys;

namespace WebVm.Api.Tests.Console;

public sealed class TypistTests
{
    [Fact]
    public void What_a_layout_cannot_type_is_named() => Assert.Equal("é漢", Typist.Missing("cafée\r\n漢", KeyboardLayout.Us));
}
