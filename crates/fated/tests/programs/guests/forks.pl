# Children, pipes, signals and sleeps in Perl.
use strict; use warnings; use POSIX ":sys_wait_h";
$| = 1;
my %exit;
for my $n (1 .. 5) {
    my $pid = fork() // die "fork: $!";
    if (!$pid) { select(undef, undef, undef, 0.01 * (6 - $n)); exit $n }
    $exit{$pid} = $n;
}
my $sum = 0;
while ((my $pid = wait()) > 0) { die unless $exit{$pid} == $? >> 8; $sum += $? >> 8 }
print "sum $sum\n";
open(my $sort, "-|", "printf '3\\n1\\n2\\n' | sort") or die; print <$sort>; close $sort;
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; sleep 100 };
print "woken by $@";
